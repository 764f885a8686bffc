"""Fraud detection: features, model, evaluation and tracing of the jobs fraud_train and fraud_score."""
