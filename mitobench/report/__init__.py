"""Builds the reports from records: markdown pages, the HTML page and figures."""
