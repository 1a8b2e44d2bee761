//! Sockets and HTTP; knows nothing of Kubernetes.
