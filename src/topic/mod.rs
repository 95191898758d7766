//! Topics: their catalogue and their settings.
