"""Pictures of trainings, of predictions, and of the inside of a backbone."""
