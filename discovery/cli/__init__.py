"""The command line: thin over :mod:`discovery.app`, and the only place that speaks to people."""
