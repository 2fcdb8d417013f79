//! Hosts of one domain and what spreads among them, on real daemons in network namespaces.

mod spread;
mod strangers;
