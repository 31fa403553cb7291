"""Views: what a stage sees of its examples, such as blurred images or random labels."""
