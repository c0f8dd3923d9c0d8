"""Every peer that a real cluster has: cases, and what the dialects make of each on each platform."""
