"""Getting files from far away onto this disk: fetched, checked, unpacked safely."""
