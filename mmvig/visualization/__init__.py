"""Pictures of trainings, of predictions, and of what goes on inside a backbone."""
