"""Training and evaluation on plain torch. Knows nothing of Ray, MLflow, Prefect or DVC."""
