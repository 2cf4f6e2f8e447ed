"""What one environment needs beyond the environment: its tasks as text, demonstrations, measures, and pictures."""
