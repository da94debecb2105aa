// A program has a source: this one is there for its precompiled headers.
int main() { return 0; }
