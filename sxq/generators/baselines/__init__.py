"""What a search is compared with: random, exhaustive and evolutionary generators."""
