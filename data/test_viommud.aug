module Test_viommud =
   let conf = "# Which domains
policy = \"smmuv3\"
registers = \"/etc/viommu/registers.sysfs\"

  libvirt_sock=\"/run/libvirt-direct/libvirt-sock\"
libvirt_sock_ro = \"/run/libvirt-direct/libvirt-sock-ro\"
unix_sock_dir = \"/run/libvirt\"
unix_sock_group = \"libvirt\"
unix_sock_rw_perms = \"0770\"
unix_sock_ro_perms = \"0777\"
max_clients = 5000
max_clients_per_user = 0
drain_timeout = 10
query_timeout = 15
"

   test Viommud.lns get conf =
        { "#comment" = "Which domains" }
        { "policy" = "smmuv3" }
        { "registers" = "/etc/viommu/registers.sysfs" }
        { "#empty" }
        { "libvirt_sock" = "/run/libvirt-direct/libvirt-sock" }
        { "libvirt_sock_ro" = "/run/libvirt-direct/libvirt-sock-ro" }
        { "unix_sock_dir" = "/run/libvirt" }
        { "unix_sock_group" = "libvirt" }
        { "unix_sock_rw_perms" = "0770" }
        { "unix_sock_ro_perms" = "0777" }
        { "max_clients" = "5000" }
        { "max_clients_per_user" = "0" }
        { "drain_timeout" = "10" }
        { "query_timeout" = "15" }

   test Viommud.lns put "policy = \"off\"\n" after
        set "/policy" "aarch64" ;
        set "/max_clients" "100"
      = "policy = \"aarch64\"\nmax_clients = 100\n"
