"""What a bundle does on real CT: response, repeatability, and the yardstick they are held against."""
