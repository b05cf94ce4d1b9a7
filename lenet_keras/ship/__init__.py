"""What ships a trained network: normalization, ONNX files, the classifier, the drawing pad."""
