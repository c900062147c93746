"""Pictures of the docs, and what they were made of."""
