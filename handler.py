"""Where RunPod's hub looks for a worker; the image itself starts `f5serve start`."""

from f5serve.runpod.worker import main

if __name__ == "__main__":
    raise SystemExit(main())
