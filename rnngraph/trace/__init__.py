"""The waist: the Trace as data, its file format, and the recorder that measures a sweep."""
