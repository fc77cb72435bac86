"""Speed: ours beside torch.nn.LSTM and beside other packages."""
