# Packaging itself is not tried.
