resource "aws_instance" "good" {
  ami = "ami-1"
}

resource "aws_instance" "bad" {
  ami = = "ami-2"
}

output "after" {
  value = 1
}
