from mmvig.cli.flops import main

if __name__ == '__main__':
    main()
