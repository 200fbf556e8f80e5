"""The matching rules, a module for each kind; `mitobench.evaluate.matching` applies them to frames."""
