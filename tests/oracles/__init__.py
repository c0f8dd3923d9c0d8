"""Our verdicts against those of independent implementations, on random pods and random policies."""
