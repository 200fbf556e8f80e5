"""The built-in plugins, which need no extra packages. They import `mitobench.api` only, like any other plugin."""
