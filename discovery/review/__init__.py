"""What people look at: what changed between two sets of policies, in words made for a pull request."""
