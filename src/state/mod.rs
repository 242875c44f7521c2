//! What is true, in refs (`gitcoop-refs(7)`).
