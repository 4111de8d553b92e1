"""Our clients under an organisation's own Flower SuperLink: what they do, and the app that carries it there."""
