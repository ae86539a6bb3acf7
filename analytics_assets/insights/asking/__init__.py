"""A stage: questions asked once within a budget, online or in batches, and their answers kept."""
