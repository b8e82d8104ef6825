//! The one binary under three names: `Agent.Listener`, `Agent.Worker`, and its
//! own, under which it lays a folder out.

fn main() {
    azp_stand_in::main()
}
