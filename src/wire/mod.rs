//! The PostgreSQL protocol, version 3: listening, TLS, start-up, authentication, the two query protocols, COPY.
//!
//! One task per connection owns the socket and its buffers. Frames are cut and decoded here: a message is looked at only
//! when all of it has arrived, and never beyond its end.

mod authenticate;
mod connection;
mod extended;
mod link;
mod listen;
mod message;
mod reply;
mod startup;
mod throttle;
mod tls;

pub use listen::{Doors, ListenError, Listener};
pub use tls::{TlsError, TlsFiles};
