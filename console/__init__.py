"""The console: a Django project with one room for each thing a person sees or a client calls."""
