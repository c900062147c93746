"""Environments as pure functions of tensors, which run in one compiled program with an agent."""
