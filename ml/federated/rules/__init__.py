"""Ways to make one step of several received models, some of them hostile. Knows no attack and no network."""
