"""A plugin that cannot be imported."""

raise ImportError("this toy is broken on purpose")
