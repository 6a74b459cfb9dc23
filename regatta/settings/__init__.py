"""params.yaml and datasets/*.yaml as frozen, typed values; unknown keys are errors."""
