"""The servers of Prefect, MLflow and Ray on this machine: for one command, or until Ctrl-C."""
