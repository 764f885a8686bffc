"""SecureCart's Spark jobs: one module a job, each with ``main(argv)`` over pure DataFrame transforms."""
