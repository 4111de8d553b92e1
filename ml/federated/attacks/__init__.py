"""What hostile people publish instead of honest work, to measure rules by. Knows no rule but the product's gate."""
