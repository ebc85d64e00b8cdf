"""Prediction with the model of any MM library."""
