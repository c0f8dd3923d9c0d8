"""Policy semantics: read manifests back, decide flows under them, and prove that what was written is meant.

This package never imports the generators: it is written from the published semantics of each dialect, so that
a mistake on one side shows as a difference and not as an agreement.
"""
