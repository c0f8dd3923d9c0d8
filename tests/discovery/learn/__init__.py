"""Tests of learning: edges built by hand, oracles that share no code with the learner."""
