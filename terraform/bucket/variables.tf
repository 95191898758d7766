variable "bucket_name" {
  description = "Name of the bucket. It holds one Cenote and nothing else."
  type        = string
}

variable "tags" {
  description = "Tags of the bucket and the policy."
  type        = map(string)
  default     = {}
}
