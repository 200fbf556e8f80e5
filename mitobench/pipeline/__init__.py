"""From a request to results: the plan of distinct stages, their execution, and the store of their outputs."""
