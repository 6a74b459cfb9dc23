"""The graph of the course, read from DVC and walked by Prefect: what is planned, told and left to look at."""
