"""The methods that need nothing but the core: plugins like any other, which import `mitobench.api` only."""
