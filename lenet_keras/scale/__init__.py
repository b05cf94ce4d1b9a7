"""What is past one machine or one day: sweeps and bulk reading, on Ray."""
