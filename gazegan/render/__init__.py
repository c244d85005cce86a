"""The renderer: parameters in, labelled eye images out."""
