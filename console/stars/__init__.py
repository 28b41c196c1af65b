"""Stars on images, and the page of favorites."""
