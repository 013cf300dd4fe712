"""Network layers that encoders and decoders are built from."""
