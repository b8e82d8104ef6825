//! The program `azp-scaler`.

fn main() {}
