"""The live view of a deployment: what its metrics, its phones and its status topics say, as one frame after another."""
